"""enrichments.yml and the environment: `loading.load` reads both and gives `settings.Settings`, or every finding.

A block of enrichments.yml is a pydantic model in the module of its name: `reporting`, `notify`, `customers`,
`enrichments`, `pages`; that of `exports` is exports/definitions.py. `model` puts them together, on the base in `part`.

yaml_file ─► model ─► plain_words (what pydantic found, in words)
         └─────────► cross_checks (what one key asks of another, of files and of the dbt project)
environment ─► urls, sign_in, secret_variables, limits, destination (where notifications go)
"""
