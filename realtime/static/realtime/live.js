// The page's end of the live wire.
