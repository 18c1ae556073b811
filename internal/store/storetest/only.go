package storetest

// Only gives the one of an answer that has one at most; nil: it has none.
func Only[T any](all []*T, err error) (*T, error) {
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}
