"""All cells by likeness."""

from app.components.map import cell_map
from app.views import people

person, services = people.require("label"), people.services()
cell_map(csrf_token=person.csrf_token, shows_suggestions=services.settings.suggestions == "shown")
