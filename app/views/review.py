"""Where doctors differ, side by side, and the verdict."""

from app.components.review import review
from app.views import people

people.require("adjudicate")
review(people.services().label_set, people.reader())
