"""Where doctors differ, side by side, and the verdict."""

from app.components.review import review
from app.views import people, second_looks

people.require("adjudicate")
services = people.services()
review(services.label_set, people.reader())
second_looks.show(services)
