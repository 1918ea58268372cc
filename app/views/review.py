"""Where doctors differ, side by side, and the verdict."""

import streamlit as st

from app.agreement_figures import doubted
from app.components.review import review
from app.views import people

people.require("adjudicate")
services, tr = people.services(), people.wording()
review(services.label_set, people.reader(), reads=services.settings.reads)
doubts = len(doubted(services))
if doubts:
    st.page_link("views/quality.py", label=tr("{n} undisputed answers are worth a second look: page Quality", n=doubts))
