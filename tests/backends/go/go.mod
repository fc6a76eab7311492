module sidegate.dev/tests/backends

go 1.25
