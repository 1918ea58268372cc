"""Many cells at once."""

from app.components.gallery import gallery
from app.views import people

person, services = people.require("label"), people.services()
gallery(
    services.label_set,
    account=person.name,
    csrf_token=person.csrf_token,
    crop_px=services.settings.crop_px,
)
