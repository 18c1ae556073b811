package server

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"plague"
	"plague/internal/durable"
)

// showLog gives the log of an arch's newest attempt its name in the arch's folder, for
// those who read along. The results of that attempt, or of one after it, may be laid
// there at the same time, perhaps by another server: they come into the attempt's folder
// first (lay), so who finds there what he has shown has been no later than they.
func showLog(results *durable.Dir, j plague.Job, arch, name string) error {
	shown := path.Join(ResultDir(j), arch, name)
	next := path.Join(path.Dir(shown), durable.TempPrefix+"tail-"+name) // not the one of show
	for range 10 {
		newest, err := newestLog(results, j, arch, name)
		if err != nil {
			return err
		}
		if same, err := results.SameFile(newest, shown); err != nil || same {
			return err
		}
		if err := removeIfThere(results, next); err != nil {
			return err
		}
		if err := results.Link(newest, next); err != nil {
			return err
		}
		if err := results.Replace(next, shown); err != nil { // a log that grows is nowhere promised
			return err
		}
	}
	return fmt.Errorf("others keep changing %s", shown)
}

// newestLog finds the log among the folders of an arch's attempts.
func newestLog(results *durable.Dir, j plague.Job, arch, name string) (string, error) {
	folders, err := results.ReadDir(path.Join(ResultDir(j), "attempts"))
	if err != nil {
		return "", err
	}
	newest, last := "", [2]int{-1, -1}
	for _, f := range folders {
		var at [2]int
		if _, err := fmt.Sscanf(f.Name(), "%d-"+arch+"-%d", &at[0], &at[1]); err != nil || at[0] < last[0] || at[0] == last[0] && at[1] < last[1] {
			continue
		}
		file := path.Join(attemptDir(j, arch, at[0], at[1]), name)
		switch _, err := results.Stat(file); {
		case err == nil:
			newest, last = file, at
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
	if newest == "" {
		return "", fmt.Errorf("no attempt has a %s: %w", name, fs.ErrNotExist)
	}
	return newest, nil
}
