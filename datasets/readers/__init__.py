"""Opening pictures. Runs only inside the killable child that `sandbox` starts."""
