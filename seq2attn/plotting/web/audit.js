// The page of an audit has nothing to point at.
