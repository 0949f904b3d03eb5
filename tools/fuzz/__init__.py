"""Fuzzing of all that reads what clients send: harnesses, and what runs them by coverage (`make fuzz`).

A harness takes any bytes and fails when a decoder does anything but read them rightly or refuse them. The
test suite runs the same harnesses on the kept inputs (`tests/fuzz/corpus`) and on random ones.
"""
