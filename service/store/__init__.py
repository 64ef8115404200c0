"""Everything that speaks Redis: keys, codecs, one file a noun, one Lua script a verb. Nothing is decided here."""
