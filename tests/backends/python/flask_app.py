"""Flask with a page for everybody and one at /admin."""

from flask import Flask

app = Flask(__name__)


@app.get("/admin")
def admin():
    print("ADMIN", flush=True)
    return "the admin page"


@app.get("/open")
def open_page():
    return "the open page"
