package store

import (
	"slices"

	"plague"
)

// run names one run of a job: what a pin belongs to.
type run struct {
	uid    plague.JobID
	number int
}

// manyNamed is how many rows one statement names at most.
const manyNamed = 1024

// pinsOf reads what the runs of jobs are pinned to, in two statements however
// many jobs there are: a leader asks for all that is being built.
func pinsOf(q querier, uids []plague.JobID) (map[run]plague.Pin, error) {
	uids = slices.Clone(uids)
	slices.Sort(uids)
	pins := map[run]plague.Pin{}
	for some := range slices.Chunk(slices.Compact(uids), manyNamed) {
		if err := addPins(q, pins, some); err != nil {
			return nil, err
		}
	}
	return pins, nil
}

func addPins(q querier, pins map[run]plague.Pin, uids []plague.JobID) error {
	in, args := named(uids)
	_, err := collect(q, func(r row) (run, error) {
		var of run
		var p plague.Pin
		err := r.Scan(&of.uid, &of.number, &p.Snapshot)
		pins[of] = p
		return of, err
	}, `SELECT uid, run, snapshot FROM pins WHERE uid IN (`+in+`)`, args...)
	if err != nil {
		return err
	}
	_, err = collect(q, func(r row) (run, error) {
		var of run
		var b plague.BasePin
		err := r.Scan(&of.uid, &of.number, &b.ID, &b.Arch, &b.URL, &b.Repomd)
		p := pins[of]
		p.Repos = append(p.Repos, b)
		pins[of] = p
		return of, err
	}, `SELECT uid, run, repo, arch, url, repomd FROM pin_repos WHERE uid IN (`+in+`) ORDER BY uid, run, repo, arch`, args...)
	return err
}

// named gives the inside of IN (…) and its arguments. The last key is there
// again until their number is a power of two: statements of a few shapes can be
// kept prepared.
func named[T any](keys []T) (string, []any) {
	n := 1
	for n < len(keys) {
		n *= 2
	}
	args := anys(keys)
	for len(args) < n {
		args = append(args, args[len(args)-1])
	}
	return placeholders(1, n), args
}
