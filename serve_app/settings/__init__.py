"""Typed settings: every one by environment variable and by YAML file, all faults told at start-up."""

from serve_app.settings.loading import CONFIG_VARIABLE, load_section, load_settings
from serve_app.settings.registry import SettingInfo, readme_table, settings_table, variable_of
from serve_app.settings.tree import Settings

__all__ = [
    "CONFIG_VARIABLE",
    "SettingInfo",
    "Settings",
    "load_section",
    "load_settings",
    "readme_table",
    "settings_table",
    "variable_of",
]
