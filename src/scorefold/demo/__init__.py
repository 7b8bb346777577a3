"""Data for the demonstrations: real photographs and a simulated volume, with known truth."""

from scorefold.demo.coins import COIN_RADIUS, COINS_PER_SCENE, coin_scene
from scorefold.demo.inspection import InspectionScene
from scorefold.demo.label import label_scene
from scorefold.demo.particles import PARTICLES, particle_scene
from scorefold.demo.scene import Scene
from scorefold.demo.surface import surface_scene

__all__ = [
    "COINS_PER_SCENE",
    "COIN_RADIUS",
    "PARTICLES",
    "InspectionScene",
    "Scene",
    "coin_scene",
    "label_scene",
    "particle_scene",
    "surface_scene",
]
