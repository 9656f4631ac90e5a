"""Acting on other machines over SSH, by the same deeds as on this one."""
