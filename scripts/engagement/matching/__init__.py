"""How alike two descriptions of a company are: names, websites and countries, brought to one form and compared."""
