package cli

import (
	"slices"
	"strings"

	"plague"
	"plague/internal/wire"
)

// readLabels reads a builder's labels, parted by commas or spaces.
func readLabels(s *settings) ([]string, error) {
	all := fields(strings.ReplaceAll(s.text("labels", ""), ",", " "))
	for _, l := range all {
		if err := plague.ValidLabel(l); err != nil {
			return nil, s.wrong("labels", "has a word that is none: "+err.Error())
		}
	}
	if len(all) > wire.MaxLabels {
		return nil, s.wrong("labels", "are too many")
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
