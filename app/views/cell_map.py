"""All cells by likeness."""

from app.components.map import cell_map
from app.views import people

people.require("label")
cell_map(people.reader(), shows_suggestions=people.services().settings.suggestions == "shown")
