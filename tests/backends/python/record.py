"""Printing a request, whole: `print` from several threads mixes lines."""

import json
import os
import threading

ONE_AT_A_TIME = threading.Lock()


def show(record):
    line = ("RECORD " + json.dumps(record) + "\n").encode()
    with ONE_AT_A_TIME:
        while line:
            line = line[os.write(1, line) :]
