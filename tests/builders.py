"""Small studies for tests, made of drawn slides by the product's own steps."""

from pathlib import Path

from app.intake import take_in
from app.services import Services
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides
from datasets.public import plan


def drawn_study(home: Path, scratch: Path, num_slides: int) -> Services:
    """Draw slides into a folder and ingest them."""
    services = Services.open(home)
    write_drawn_slides(scratch, seed=7, num_slides=num_slides)
    take_in(services, plan(scratch), mpp=DRAWN_MPP)
    return services
