"""From template and target to scores: masks, rotated templates, Fourier transforms, scores, engines."""
