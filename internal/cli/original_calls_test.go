package cli

import (
	"fmt"
	"reflect"
	"strings"

	"plague/internal/wire"
)

// callSentences are about the shapes of what the calls take and answer.
func callSentences() []sentence {
	return []sentence{
		{"0.4.5", "plague-client has the commands build detail finish help is_paused kill list list_builders pause requeue unpause update_builders.", func(o *original) error {
			for name := range strings.FieldsSeq("build detail finish help is_paused kill list list_builders pause requeue unpause update_builders") {
				if err := prints("packager", 0, `(?m)^ +plague-client `+name+`\b|^ +`+name+` `, "help", name)(o); err != nil {
					return err
				}
			}
			return nil
		}},
		{"0.2", "\"Error connecting to build server: '<e>'\"", func(o *original) error {
			text := strings.Replace(string(mustRead(o.t, o.Client)), o.Users, "https://127.0.0.1:1", 1)
			return o.withConfig(text, prints("changed", 6, `Error connecting to build server: '.*'`, "list"))
		}},
		{"0.2", "A line of list: <uid>: <package> (<source>) <username> <status>.",
			prints("packager", 0, `(?m)^\d+: incvs \(incvs-1_0-1\) packager@example\.com needsign$`, "list")},
		{"0.2", "And per arch job a tab and <builder_addr>(<arch>): <jobid> <status>/<builder_status>.",
			prints("packager", 0, `(?m)^\d+: fresh .* needsign\n\tbuilder1\(noarch\): \d+ done/done$`, "list")},
		{"0.4.5", "An arch job has two words, the server's and the builder's, also when it failed or was killed.", every(
			prints("packager", 0, `(?m)^\d+: half .* failed\n(\t.*\n)?\tbuilder1\(noarch\): \d+ failed/failed$`, "list"),
			prints("packager", 0, `(?m)^\d+: long .* killed\n\tbuilder1\(noarch\): \d+ killed/`, "list"))},
		{"0.3", "list_jobs takes one dict: status is a list of states,",
			lists(map[string]any{"status": []string{"failed"}, "package": "half"}, "half")},
		{"0.4.5", "orderby a list of columns,", every(
			lists(map[string]any{"package": "incvs", "orderby": []string{"uid"}, "maxrows": 1, "status": []string{"failed"}}, "incvs"), (*original).orders)},
		{"0.4.5", "and maxrows a number.", lists(map[string]any{"maxrows": 2, "username": "packager@example.com", "status": []string{"released", "killed"}, "package": "held"}, "held", "held")},
		{"0.2", "A job has uid, package, source, username, status and archjobs,", answersWith(wire.CallListJobs, func(third any) error {
			return members(third.([]any)[0], "uid package source username status archjobs")
		}, map[string]any{"package": "fresh"})},
		{"0.4.5.4", "and starttime endtime target_distro target_target target_repo rpm_epoch rpm_version rpm_release.", answersWith(wire.CallListJobs, func(third any) error {
			return members(third.([]any)[0], "starttime endtime target_distro target_target target_repo rpm_epoch rpm_version rpm_release")
		}, map[string]any{"package": "fresh"})},
		{"0.4.5", "An arch job has jobid parent_uid starttime endtime arch builder_addr status builder_status.", answersWith(wire.CallListJobs, func(third any) error {
			return members(third.([]any)[0].(map[string]any)["archjobs"].([]any)[0], "jobid parent_uid starttime endtime arch builder_addr status builder_status")
		}, map[string]any{"package": "fresh"})},
		{"0.4", "A builder has its address, arches, alive, num_slots and free_slots.", func(o *original) error {
			v, err := o.client.RPC.Call(o.t.Context(), wire.CallListBuilders)
			bs, _ := v.([]any)
			if err != nil || len(bs) != 1 {
				return fmt.Errorf("%v, %w", v, err)
			}
			return members(bs[0], "address arches alive num_slots free_slots")
		}},
		{"0.4.5", "detail_job answers \"Error: Invalid job UID.\" and an empty struct for a uid that is none.", func(o *original) error {
			code, msg, rest, err := o.call(o.client, wire.CallDetailJob, 9999)
			if err != nil || code != -1 || !strings.Contains(msg, "Error: Invalid job UID.") || !reflect.DeepEqual(rest, []any{map[string]any{}}) {
				return fmt.Errorf("%d, %q, %v, %w", code, msg, rest, err)
			}
			return nil
		}},
		{"0.4.5", "kill and requeue answer code and message.", every(
			calls("packager", wire.CallKillJob, -1, "9999", 9999), calls("packager", wire.CallRequeue, -1, "9999", "$email", 9999))},
	}
}

// lists holds the newest answers of list_jobs to be of these packages.
func lists(filter map[string]any, pkgs ...string) check {
	return answersWith(wire.CallListJobs, func(third any) error {
		var got []string
		for _, j := range third.([]any) {
			got = append(got, j.(map[string]any)["package"].(string))
		}
		if !reflect.DeepEqual(got, pkgs) {
			return fmt.Errorf("%v lists %v, want %v", filter, got, pkgs)
		}
		return nil
	}, filter)
}

// orders: the oldest come first if asked for.
func (o *original) orders() error {
	var first []any
	for _, order := range []string{"uid", "uid desc"} {
		_, _, rest, err := o.call(o.client, wire.CallListJobs, map[string]any{"orderby": []string{order}, "maxrows": 1})
		if err != nil {
			return err
		}
		first = append(first, rest[0].([]any)[0].(map[string]any)["uid"])
	}
	if first[0] != 1 || first[1] == 1 {
		return fmt.Errorf("the first of both orders are %v", first)
	}
	return nil
}

// answersWith is a call that succeeds, and what is behind code and message.
func answersWith(name string, holds func(third any) error, args ...any) check {
	return func(o *original) error {
		code, msg, rest, err := o.call(o.client, name, args...)
		if err != nil || code != 0 || len(rest) != 1 {
			return fmt.Errorf("%s%v answers %d, %q, %v, %w", name, args, code, msg, rest, err)
		}
		return holds(rest[0])
	}
}
