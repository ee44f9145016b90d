"""The pages for people: a Streamlit app over the published file and the run's state alone (`engagement pages`).

`site` says what is shown, `published` opens the file, `reader` asks it on behalf of one viewer, `formats` writes
values as the viewer's language does, `tables` and `charts` draw, and there is one module for each page. No page
computes a number: each shows what a query on the published file answers.
"""
