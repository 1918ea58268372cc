"""Where doctors differ, side by side, and the verdict."""

from app.components.review import review
from app.views import people, second_looks

person, services = people.require("adjudicate"), people.services()
review(services.label_set, account=person.name, csrf_token=person.csrf_token)
second_looks.show(services)
