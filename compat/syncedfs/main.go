//go:build linux

// Command syncedfs serves a FUSE file system that loses in a power cut what was not synced. The tests in
// e2e/storefaults start it. It is a program of its own because a process must not serve a file system
// whose files it maps: a page fault would wait for the process itself. It is in this module so that the
// module graph of users has no FUSE.
//
//	syncedfs [-from FOLDER] [-nosync] MOUNTPOINT
//
// The program prints "mounted", and then answers each line of its standard input:
//
//	stop N                     the N-th changing call from now on kills its caller, and all later ones
//	                           fail, until the next command of this kind; 0 means none
//	image all SEED FOLDER      writes all files, as a killed process leaves them
//	image synced SEED FOLDER   writes only what was synced
//	image some SEED FOLDER     writes what was synced, and a random part of the rest
//
// The answer is "ok CALLS", with the number of changing calls so far, or a line with an error. At the end
// of its input the program unmounts the file system and ends.
//
// # Concurrency
//
// FUSE calls the methods of nodes at the same time. The lock of the volume guards all of its state.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	v := newVolume()
	from := flag.String("from", "", "folder whose files the file system has at the start, all synced")
	flag.BoolVar(&v.noSync, "nosync", false, "syncs have no effect")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "syncedfs: give one mount point")
		os.Exit(2)
	}
	if err := serve(v, *from, flag.Arg(0), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "syncedfs:", err)
		os.Exit(1)
	}
}

// serve mounts the volume, and executes commands until there are no more.
func serve(v *volume, from, mountpoint string, commands io.Reader, answers io.Writer) error {
	server, err := fs.Mount(mountpoint, v.root, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMount: true, FsName: "syncedfs", Name: "syncedfs", DisableXAttrs: true},
	})
	if err != nil {
		return fmt.Errorf("%s cannot be mounted: %w", mountpoint, err)
	}
	defer unmount(server, mountpoint)
	if from != "" {
		if err := v.load(from); err != nil {
			return err
		}
	}
	fmt.Fprintln(answers, "mounted")
	for lines := bufio.NewScanner(commands); lines.Scan(); {
		if calls, err := v.execute(lines.Text()); err != nil {
			fmt.Fprintln(answers, err)
		} else {
			fmt.Fprintln(answers, "ok", calls)
		}
	}
	return nil
}

// unmount also unmounts a file system that is still used.
func unmount(server *fuse.Server, mountpoint string) {
	if err := server.Unmount(); err != nil {
		if err := syscall.Unmount(mountpoint, syscall.MNT_DETACH); err != nil {
			fmt.Fprintln(os.Stderr, "syncedfs: the file system is still mounted:", err)
		}
	}
}

// execute executes one command. It returns the number of changing calls so far.
func (v *volume) execute(command string) (calls int, err error) {
	var keep, to string
	var seed uint64
	var n int
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, err := fmt.Sscanf(command, "stop %d", &n); err == nil {
		v.stop(n)
		return v.calls, nil
	}
	if _, err := fmt.Sscanf(command, "image %s %d %s", &keep, &seed, &to); err != nil {
		return 0, fmt.Errorf("%q is no command; allowed: stop N, image all|synced|some SEED FOLDER", command)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	switch keep {
	case "all":
		err = v.write(to, func(n int) int { return n - 1 })
	case "synced":
		err = v.write(to, func(int) int { return 0 })
	case "some":
		err = v.write(to, random.IntN)
	default:
		err = fmt.Errorf("%q is no choice; allowed: all, synced, some", keep)
	}
	return v.calls, err
}
