"""Many cells at once."""

from app.components.gallery import gallery
from app.views import people

people.require("label")
settings = people.services().settings
gallery(settings.label_set, people.reader(), mode=settings.suggestions, crop_px=settings.crop_px)
