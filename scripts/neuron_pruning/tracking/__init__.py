"""Records of jobs for MLflow."""
