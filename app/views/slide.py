"""One slide at every scale, with its cells."""

from app.components.slide_view import slide_view
from app.views import people

person, services = people.require("pictures"), people.services()
slide_view(
    services.label_set,
    account=person.name,
    csrf_token=person.csrf_token,
    mode=services.settings.suggestions,
    may_label=person.may("label"),
)
