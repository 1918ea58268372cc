"""Three minutes of keys on drawn cells, for whoever is new; the study hears nothing of it."""

from app.components.tour import tour
from app.views import people

people.require("label")
tour(people.wording())
