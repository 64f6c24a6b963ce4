package server

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/graph"
	"github.com/meshhealth/meshhealth/internal/machine"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// checkSet holds the task of each check of a server, by the name of the check. A task is a
// check with its state. pipeline.mu guards the set.
type checkSet struct {
	tasks map[string]*task
	rules sharedRules
}

// newTasks returns a task for each check, but does not add the tasks to the set. rules has
// the rules of each check, and errs has errors that the caller has found in checks. The
// error of newTasks joins errs and the errors that it finds in the fields Name and DependsOn.
func (c *checkSet) newTasks(checks []Check, rules []rules, errs []error) ([]*task, error) {
	tasks := make([]*task, len(checks))
	for i := range checks {
		tasks[i] = &task{name: checks[i].Name, run: checks[i].Run, rules: c.rules.get(rules[i])}
		if len(checks[i].Tags) > 0 {
			tasks[i].ownExtras().tags = slices.Clone(checks[i].Tags)
		}
	}
	err := errors.Join(append(errs, c.validateNames(tasks), c.linkDependencies(tasks, checks))...)
	return tasks, err
}

// validateNames returns an error for each task whose name is in use already, or only
// ErrTooManyChecks if the set has no room for all tasks.
func (c *checkSet) validateNames(tasks []*task) error {
	if len(c.tasks)+len(tasks) > MaxChecks {
		return checkError(tasks[0].name, ErrTooManyChecks)
	}
	var errs []error
	names := make(map[string]bool, len(tasks))
	for _, t := range tasks {
		if c.tasks[t.name] != nil || names[t.name] {
			errs = append(errs, checkError(t.name, ErrCheckExists))
		}
		names[t.name] = true
	}
	return errors.Join(errs...)
}

// linkDependencies sets the dependencies of each task from the field DependsOn of its check.
// Each name in DependsOn must belong to one of tasks or to a check that is in the set already.
func (c *checkSet) linkDependencies(tasks []*task, checks []Check) error {
	byName := make(map[string]*task, len(tasks))
	for _, t := range tasks {
		byName[t.name] = t
	}
	var errs []error
	for i, t := range tasks {
		for j, name := range checks[i].DependsOn {
			d := cmp.Or(byName[name], c.tasks[name])
			if d == nil {
				errs = append(errs, dependencyError(t, fmt.Sprintf("DependsOn[%d]", j), "there is no check %q", name))
				continue
			}
			t.ownExtras().dependencies = append(t.ownExtras().dependencies, d)
		}
	}
	if path := graph.Cycle(tasks, (*task).dependencies); path != nil {
		errs = append(errs, dependencyError(path[0], "DependsOn", "is a cycle: %s", cycleText(path)))
	}
	return errors.Join(errs...)
}

func dependencyError(t *task, field, format string, args ...any) error {
	var f fieldErrors
	f.Addf(field, format, args...)
	return checkError(t.name, f.Join())
}

func cycleText(path []*task) string {
	names := make([]string, len(path))
	for i, t := range path {
		names[i] = t.name
	}
	return strings.Join(names, " depends on ")
}

// insert adds a task that newTasks has returned to the set. It gives the task a new state
// machine, and adds the task to the dependents of each check that the task depends on.
func (c *checkSet) insert(t *task, now time.Time) {
	t.machine = machine.New(&t.rules.policy, now)
	c.tasks[t.name] = t
	for _, d := range t.dependencies() {
		d.ownExtras().dependents = append(d.ownExtras().dependents, t)
	}
}

// tune changes the rules of the named checks. If it returns an error, it has changed nothing.
func (c *checkSet) tune(byName map[string]Tuning) error {
	tuned := make(map[*task]rules, len(byName))
	var errs []error
	for name, tuning := range byName {
		t := c.tasks[name]
		if t == nil {
			errs = append(errs, checkError(name, ErrNoCheck))
			continue
		}
		r := *t.rules
		tuning.apply(&r)
		var f fieldErrors
		if r.validate(&f); f.Join() != nil {
			errs = append(errs, checkError(name, f.Join()))
		}
		tuned[t] = r
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for t, r := range tuned {
		t.rules = c.rules.get(r)
		t.machine.Retune(&t.rules.policy)
	}
	return nil
}

// find returns the tasks that have one of these names and for which match returns true.
// unknown has the names for which find has found no such task.
func (c *checkSet) find(names []string, match func(*task) bool) (found map[*task]bool, unknown []string) {
	for _, name := range names {
		t := c.tasks[name]
		if t == nil || !match(t) {
			unknown = append(unknown, name)
			continue
		}
		if found == nil {
			found = map[*task]bool{}
		}
		found[t] = true
	}
	return found, unknown
}

// tags returns the tags of all checks of the set.
func (c *checkSet) tags() map[string]bool {
	tags := map[string]bool{}
	for _, t := range c.tasks {
		for _, tag := range t.extra().tags {
			tags[tag] = true
		}
	}
	return tags
}

// stuck returns an error with the names of the checks whose run is overdue and has not
// returned. The error wraps ErrStuck. It is nil if there is no such check.
func (c *checkSet) stuck() error {
	var names []string
	for _, t := range c.tasks {
		if t.phase == stuck {
			names = append(names, t.name)
		}
	}
	return stuckError(names)
}

// stuckError returns an error that wraps ErrStuck and names these checks. It returns nil if
// names is empty.
func stuckError(names []string) error {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("check %s: %w", wire.Clean(strings.Join(names, ", ")), ErrStuck)
}

func (t *task) dependencies() []*task { return t.extra().dependencies }
func (t *task) dependents() []*task   { return t.extra().dependents }

// updateBlocker sets the blocker of t: the check because of which t must not run, or nil.
// t must not run while one of its dependencies is NOT_SERVING, has not run, or has a blocker.
// The blockers of all dependencies must be up to date.
func (t *task) updateBlocker() {
	if t.extras == nil {
		return
	}
	t.extras.blocker = nil
	for _, d := range t.extras.dependencies {
		switch status := d.machine.Status(); {
		case d.removed:
			continue
		case d.blocker() != nil:
			t.extras.blocker = d.blocker()
		case status == health.NotServing || status == health.Starting:
			t.extras.blocker = d
		default:
			continue
		}
		return
	}
}

// unlinkDependencies removes t from the dependents of other checks.
func (t *task) unlinkDependencies() {
	for _, d := range t.extras.dependencies {
		d.extras.dependents = slices.DeleteFunc(d.extras.dependents, func(o *task) bool { return o == t })
	}
}

// unlinkDependents removes t from the dependencies of other checks. After that it clears
// the dependencies, the dependents and the blocker of t.
func (t *task) unlinkDependents() {
	for _, d := range t.extras.dependents {
		d.extras.dependencies = slices.DeleteFunc(d.extras.dependencies, func(o *task) bool { return o == t })
	}
	t.extras.dependencies, t.extras.dependents, t.extras.blocker = nil, nil, nil
}

// postorder returns tasks and all tasks that can be reached from them, each task once. The
// function neighbors returns the tasks that can be reached in one step. Each task comes
// after all tasks that can be reached from this task. There must be no cycle.
func postorder(tasks []*task, neighbors func(*task) []*task) []*task {
	seen := map[*task]bool{}
	var order []*task
	var visit func(t *task)
	visit = func(t *task) {
		if seen[t] {
			return
		}
		seen[t] = true
		for _, n := range neighbors(t) {
			visit(n)
		}
		order = append(order, t)
	}
	for _, t := range tasks {
		visit(t)
	}
	return order
}
