"""One slide at every scale, with its cells."""

from app.components.slide_view import slide_view
from app.views import people

person, services = people.require("pictures"), people.services()
slide_view(
    services.label_set, people.reader(), mode=services.settings.suggestions, may_label=person.may("label"),
)  # fmt: skip
