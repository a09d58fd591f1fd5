from tests.models.export.conftest import compact, graph_file  # noqa: F401  # fixtures
