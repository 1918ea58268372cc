"""What exists: slides, cells, pictures, vectors. Imports none of the other packages.

This is not Hugging Face's package of the same name. CytoJEPA is an application that owns its
environment; installing that other package beside it is refused at start-up and by a test.
"""
