"""aihwkit-lightning, measured in an environment of its own: it pins another torch than SteadyNet's."""
