"""From template and target to scores: masks, rotation by interpolation, Fourier transforms, scores, engines."""
