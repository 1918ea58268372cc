"""Where people begin who do not label: what their role sees."""

import streamlit as st

from app.views import people

person, tr = people.require(), people.wording()
st.header(tr("Welcome, {name}", name=person.name))
st.write(tr("The role {role} sees the pages above. It does not label; an admin can change the role.", role=person.role))
st.caption(tr("Research use only. Not a medical device."))
