"""Rules about leadline's own view."""
