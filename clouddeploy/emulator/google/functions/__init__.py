"""Cloud Functions v2: functions, their builds and the Run services that they manage."""
