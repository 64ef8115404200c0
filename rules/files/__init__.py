"""The texts of rule files: their nodes and places, the tables of their keys, their problems, their JSON Schema."""
