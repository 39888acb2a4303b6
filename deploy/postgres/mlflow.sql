-- The prediction log has the database that the image makes; MLflow gets one of its own.
CREATE DATABASE mlflow;
