package plague

// Nearest gives the name that somebody who typed word most likely meant; empty
// when none is near enough (a third of its letters wrong at most).
func Nearest(word string, names []string) string {
	best, near := "", len(word)/3+1
	for _, n := range names {
		if len(word)-len(n) > near {
			continue // whoever sends a megabyte gets no comparison of it
		}
		if d := distance(word, n); d < near || d == near && best == "" {
			best, near = n, d
		}
	}
	return best
}

// distance is Levenshtein's: letters to add, drop or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
