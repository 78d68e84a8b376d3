"""The page that `dsv4diff report` makes: one HTML file that needs no network and no other file.

results.py reads and checks results files, data.py makes the page's data of them, and page.py joins both with the
templates of this folder. In the browser, the files in js/ build all tables and plots from the data.
"""
