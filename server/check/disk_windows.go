package check

import "golang.org/x/sys/windows"

func diskFree(path string) (percent float64, err error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	var mine, all, free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &mine, &all, &free); err != nil {
		return 0, err
	}
	return share(mine, all), nil
}
