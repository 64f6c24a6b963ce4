package testmesh

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// Run runs a script. It ignores empty lines and the text after a #. It returns the error
// of the first command that fails, with its line. The commands are:
//
//	service NAME                     start an instance with the server and the client of this module
//	stock NAME [poll]                start and register a stock health server
//	absent NAME                      register an address that refuses connections
//	pass|warn|fail|maintain|drain NAME [TEXT]   change the state of the instance
//	kill NAME, restart NAME          end the process; start a new one at the same address
//	supersede NAME                   start a second process with the same name at another address
//	fail-old NAME TEXT               make the check of the first process fail
//	old-superseded NAME              require that the client of the first process has given up
//	hang NAME, resume NAME           stop and continue the traffic of the address; NAME may be coordinator
//	break NAME                       close the open connections to the address
//	stop, crash, start               stop, kill or start the coordinator
//	pause D                          pause the owner for the time D at its next log record
//	wait D                           let the time D pass
//	expect NAME STATUS [CAUSE] [unconfirmed|confirmed] within D   require this state within the time D
//	gone NAME within D               require that NAME is removed within the time D
//	forget                           drop the entries and gaps that the watcher has recorded
//	never NAME STATUS                require that the watcher has not received the status
//	once NAME STATUS                 require that the watcher has received the status
//	gap                              require that the watcher has received a gap
//	journal NAME STATUS...           require these stored transitions
func (m *Mesh) Run(script string) error {
	for i, line := range strings.Split(script, "\n") {
		text, _, _ := strings.Cut(line, "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if err := m.command(words[0], words[1:]); err != nil {
			return fmt.Errorf("line %d: %s: %w", i+1, strings.TrimSpace(text), err)
		}
		synctest.Wait()
	}
	return nil
}

func (m *Mesh) command(verb string, args []string) error {
	if run, ok := map[string]func() error{
		"stop":   func() error { return m.stopCoordinator(false) },
		"crash":  func() error { return m.stopCoordinator(true) },
		"start":  func() error { m.startCoordinator(); return nil },
		"forget": func() error { m.watcher.forget(); return nil },
		"gap":    m.wantGap,
	}[verb]; ok {
		return run()
	}
	if len(args) == 0 {
		return errors.New("an argument is missing")
	}
	name, rest := args[0], args[1:]
	if run, ok := map[string]func(string, []string) error{
		"wait": m.wait, "pause": m.pauseOwner, "service": m.service, "stock": m.stock, "absent": m.absent, "restart": m.restart,
		"supersede": m.supersede, "fail-old": m.failOld, "old-superseded": m.oldSuperseded,
		"kill": m.kill, "hang": m.hang, "resume": m.resume, "break": m.cut,
		"expect": m.expect, "gone": m.gone, "never": m.never, "once": m.once, "journal": m.wantJournal,
	}[verb]; ok {
		return run(name, rest)
	}
	p, err := m.process(name)
	if err != nil {
		return err
	}
	if verb == "drain" {
		delete(m.processes, name)
	}
	return p.act(verb, strings.Join(rest, " "))
}

func (m *Mesh) wait(d string, _ []string) error {
	length, err := time.ParseDuration(d)
	time.Sleep(length)
	return err
}

func (m *Mesh) pauseOwner(d string, _ []string) error {
	length, err := time.ParseDuration(d)
	m.pause.Store(int64(length))
	return err
}

func (m *Mesh) service(name string, _ []string) error {
	s, err := startService(m.net, health.ParseID(name), m.address(name))
	if err == nil {
		m.processes[name] = s
	}
	return err
}

func (m *Mesh) restart(name string, _ []string) error { return m.service(name, nil) }

// supersede starts a second process with the same name at another address.
func (m *Mesh) supersede(name string, _ []string) error {
	old, ok := m.processes[name].(*service)
	if !ok {
		return errors.New("no service to supersede")
	}
	m.superseded[name] = old
	m.addresses[name] = m.address(name + "'s successor")
	return m.service(name, nil)
}

func (m *Mesh) failOld(name string, words []string) error {
	return m.superseded[name].act("fail", strings.Join(words, " "))
}

func (m *Mesh) oldSuperseded(name string, _ []string) error {
	select {
	case <-m.superseded[name].lease.Done():
	default:
		return errors.New("the old process still tries to register")
	}
	if err := m.superseded[name].lease.Err(); !errors.Is(err, client.ErrSuperseded) {
		return fmt.Errorf("the old process ended with %v", err)
	}
	return nil
}

func (m *Mesh) stock(name string, how []string) error {
	m.processes[name] = startStock(m.net, m.address(name), slices.Contains(how, "poll"))
	return m.absent(name, nil)
}

// absent registers the address of a name without starting a process.
func (m *Mesh) absent(name string, _ []string) error {
	id := health.ParseID(name)
	_, err := pb.NewRegistryServiceClient(m.client.Conn()).Register(m.t.Context(), &pb.RegisterRequest{
		Registrations: []*pb.Registration{{
			Service: id.Service, Instance: id.Instance, Address: m.address(name), Static: true,
		}},
	})
	return err
}

func (m *Mesh) kill(name string, _ []string) error {
	p, err := m.process(name)
	if err == nil {
		p.kill()
		delete(m.processes, name)
	}
	return err
}

func (m *Mesh) at(name string) *host {
	if name == "coordinator" {
		return m.net.host(coordinatorAddress)
	}
	return m.net.host(m.address(name))
}

func (m *Mesh) hang(name string, _ []string) error   { m.at(name).hang(); return nil }
func (m *Mesh) resume(name string, _ []string) error { m.at(name).resume(); return nil }
func (m *Mesh) cut(name string, _ []string) error    { m.at(name).cut(); return nil }

// within splits the words of a command, which must end with "within D". It returns the words
// before "within", and the duration D.
func within(words []string) ([]string, time.Duration, error) {
	i := slices.Index(words, "within")
	if i < 0 || i+2 != len(words) {
		return nil, 0, errors.New("must end with: within D")
	}
	d, err := time.ParseDuration(words[i+1])
	return words[:i], d, err
}

// expect waits until the watcher has an entry of the name with what the arguments `words`
// require: a status, a cause, confirmed or not. It returns an error if this takes longer than the
// time limit, which is also in `words`.
func (m *Mesh) expect(name string, words []string) error {
	words, d, err := within(words)
	if err != nil {
		return err
	}
	return m.until(name, d, func(e *client.Entry) bool {
		have := strings.Fields(describe(e))
		if e != nil && !e.Unconfirmed {
			have = append(have, "confirmed")
		}
		return e != nil && !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(have, w) })
	})
}

func (m *Mesh) gone(name string, words []string) error {
	_, d, err := within(words)
	if err != nil {
		return err
	}
	return m.until(name, d, func(e *client.Entry) bool { return e == nil })
}

func (m *Mesh) until(name string, d time.Duration, holds func(*client.Entry) bool) error {
	late := time.NewTimer(d)
	defer late.Stop()
	for {
		e, changed := m.watcher.current(name)
		if holds(e) {
			return nil
		}
		select {
		case <-changed:
		case <-late.C:
			return fmt.Errorf("it is %s", describe(e))
		}
	}
}

func (m *Mesh) never(name string, status []string) error {
	for _, s := range status {
		if m.watcher.everWas(name, s) {
			return errors.New("it had that status")
		}
	}
	return nil
}

func (m *Mesh) once(name string, status []string) error {
	for _, s := range status {
		if !m.watcher.everWas(name, s) {
			return fmt.Errorf("it never was %s", s)
		}
	}
	return nil
}

func (m *Mesh) wantGap() error {
	if m.watcher.gapCount() == 0 {
		return errors.New("no gap marker was seen")
	}
	return nil
}

// wantJournal returns an error unless the stored transitions of a name have the statuses in
// want, in this order.
func (m *Mesh) wantJournal(name string, want []string) error {
	stored, err := m.journal(health.ParseID(name))
	var have []string
	for i := range stored {
		if stored[i].ID.String() == name {
			have = append(have, stored[i].To.String())
		}
	}
	if err == nil && !slices.Equal(have, want) {
		err = fmt.Errorf("the stored statuses are %v", have)
	}
	return err
}
