/*
 * PID 1 of the measured virtual machine: runs one workload and prints what the kernel says about its memory.
 *
 * The workload comes from the kernel command line; the kernel hands parameters it does not know to init as environment
 * variables, so `churn_cgroups=200` on the command line is getenv("churn_cgroups") here. README.md lists them.
 *
 * Output, one record per line, fields separated by blanks; measure.py ignores every line that starts otherwise:
 *   @figures PHASE DYING CACHES SLAB SUNRECLAIM SRECLAIMABLE PERCPU     CACHES: per-memcg kmem_caches; the rest in KiB
 *   @slab PHASE NAME ACTIVE_OBJECTS TOTAL_OBJECTS OBJECT_BYTES OBJECTS_PER_SLAB PAGES_PER_SLAB
 *   @calls PHASE CPU FUNCTION CALLS
 *   @error WHAT ERRNO
 *   @done
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define TRACING "/sys/kernel/debug/tracing"
#define PATH_BYTES 512

static char file_text[256 * 1024];

/* Says what failed, and ends the machine: half a measurement is worth nothing. */
static void fail(const char *what)
{
	printf("@error %s %d\n", what, errno);
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

/* An integer parameter of the workload. */
static long parameter(const char *name, long value_if_unset)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 10) : value_if_unset;
}

static void sleep_ms(long ms)
{
	struct timespec rest = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&rest, &rest) && errno == EINTR)
		;
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	close(fd);
}

/* Reads a whole file into file_text. A static buffer: the program must not grow while it measures. */
static char *read_text(const char *path)
{
	size_t used = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		fail(path);
	while ((got = read(fd, file_text + used, sizeof(file_text) - 1 - used)) > 0)
		used += got;
	close(fd);
	file_text[used] = 0;
	return file_text;
}

/* The number after `key` in a text of "key number" lines. */
static long number_after(const char *text, const char *key)
{
	const char *found = strstr(text, key);

	if (!found) {
		errno = ENOENT;
		fail(key);
	}
	return strtol(found + strlen(key), NULL, 10);
}

static void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	if (fd < 0)
		fail(path);
	close(fd);
}

/* Entries of a directory other than "." and ".."; 0 if there is no such directory. */
static long count_entries(const char *path)
{
	struct dirent *entry;
	long count = 0;
	DIR *dir = opendir(path);

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* Per-memcg kmem_caches: the directories below /sys/kernel/slab/CACHE/cgroup. */
static long count_memcg_caches(void)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	long count = 0;
	DIR *dir = opendir("/sys/kernel/slab");

	if (!dir)
		fail("/sys/kernel/slab");
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/cgroup", entry->d_name);
		count += count_entries(path);
	}
	closedir(dir);
	return count;
}

static void report_memory(const char *phase)
{
	long slab, sunreclaim, sreclaimable, percpu, dying, caches;
	char *line, name[64];
	unsigned long active, total, bytes, per_slab, pages;

	/* First: walking sysfs makes dentries and inodes, which belong to the figures of both phases or of none. */
	caches = count_memcg_caches();
	dying = number_after(read_text(CGROUP_ROOT "/cgroup.stat"), "nr_dying_descendants ");
	read_text("/proc/meminfo");
	slab = number_after(file_text, "Slab:");
	sreclaimable = number_after(file_text, "SReclaimable:");
	sunreclaim = number_after(file_text, "SUnreclaim:");
	percpu = number_after(file_text, "Percpu:");
	read_text("/proc/slabinfo");
	printf("@figures %s %ld %ld %ld %ld %ld %ld\n", phase, dying, caches, slab, sunreclaim, sreclaimable, percpu);
	for (line = strtok(file_text, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%63s %lu %lu %lu %lu %lu", name, &active, &total, &bytes, &per_slab, &pages) == 6)
			printf("@slab %s %s %lu %lu %lu %lu %lu\n", phase, name, active, total, bytes, per_slab, pages);
}

/* What the process in the short-lived cgroup does. */
static void churn_process(const char *cgroup, long number, long files, long keep, long warm_ms)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	write_text(path, "0");
	/* The first allocation from a cache in a cgroup only asks for the cgroup's own cache, which a worker makes. */
	make_file("/tmp/warm");
	unlink("/tmp/warm");
	mkdir("/tmp/warm.d", 0700);
	rmdir("/tmp/warm.d");
	if (warm_ms)
		sleep_ms(warm_ms);
	for (long file = 0; file < files; file++) {
		snprintf(path, sizeof(path), "/tmp/f%ld.%ld", number, file);
		make_file(path);
	}
	for (long file = keep; file < files; file++) {
		snprintf(path, sizeof(path), "/tmp/f%ld.%ld", number, file);
		unlink(path);
	}
	_exit(0);
}

static pid_t forked(void)
{
	pid_t child = fork();

	if (child < 0)
		fail("fork");
	return child;
}

/* Short-lived cgroups one after the other, some files of each outliving it. */
static void measure_memory(void)
{
	long cgroups = parameter("churn_cgroups", 200), files = parameter("churn_files", 4);
	long keep = parameter("churn_keep", 1), warm_ms = parameter("churn_warm_ms", 50);
	char cgroup[64];

	report_memory("boot");
	for (long number = 0; number < cgroups; number++) {
		pid_t child;

		/* A name of its own each: a removed directory leaves a negative dentry, in the control run as well. */
		snprintf(cgroup, sizeof(cgroup), CGROUP_ROOT "/c%ld", number);
		if (mkdir(cgroup, 0755))
			fail(cgroup);
		child = forked();
		if (!child)
			churn_process(cgroup, number, files, keep, warm_ms);
		waitpid(child, NULL, 0);
		while (rmdir(cgroup)) {
			if (errno != EBUSY)
				fail(cgroup);
			sleep_ms(1);
		}
	}
	sleep_ms(1000);
	report_memory("settled");
}

static void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

static void make_pipe(void)
{
	int ends[2];

	if (pipe(ends))
		fail("pipe");
	close(ends[0]);
	close(ends[1]);
}

/* Switching the profiler on sets its counts to zero. */
static void profile(int on)
{
	write_text(TRACING "/function_profile_enabled", on ? "1" : "0");
}

/*
 * The counted process. It stops after each phase, so that init, outside the cgroup, reads the profile: reading it from
 * here would allocate in the cgroup.
 */
static void counted_process(const char *cgroup, long files, long pipes)
{
	char path[PATH_BYTES];

	pin_to_cpu(0);
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	write_text(path, "0");
	make_file("/tmp/warm");
	unlink("/tmp/warm");
	make_pipe();
	sleep_ms(500);

	profile(1);
	for (long file = 0; file < files; file++) {
		snprintf(path, sizeof(path), "/tmp/f%ld", file);
		make_file(path);
	}
	profile(0);
	raise(SIGSTOP);

	profile(1);
	for (long file = 0; file < files; file++) {
		snprintf(path, sizeof(path), "/tmp/f%ld", file);
		unlink(path);
	}
	/* Inodes are freed by RCU. */
	sleep_ms(500);
	profile(0);
	raise(SIGSTOP);

	profile(1);
	for (long count = 0; count < pipes; count++)
		make_pipe();
	profile(0);
	raise(SIGSTOP);
	_exit(0);
}

/* Whether a function belongs to the charge path. */
static int is_charge_function(const char *name)
{
	static const char *const parts[] = { "memcg", "mem_cgroup", "page_counter", "obj_cgroup", "obj_stock",
					     "_stock", "try_charge", "cancel_charge", "commit_charge" };
	static const char *const names[] = { "kmem_cache_alloc", "kmem_cache_free", "__free_slab", "discard_slab",
					     "allocate_slab", "new_slab", "new_slab_objects", "___slab_alloc",
					     "__slab_alloc", "__slab_free", "kmalloc_slab", "__kmalloc", "kfree" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strstr(name, parts[i]))
			return 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return 1;
	return 0;
}

static void report_calls(const char *phase)
{
	char path[PATH_BYTES], name[128], *line;
	unsigned long calls;

	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
		snprintf(path, sizeof(path), TRACING "/trace_stat/function%d", cpu);
		read_text(path);
		for (line = strtok(file_text, "\n"); line; line = strtok(NULL, "\n"))
			if (sscanf(line, "%127s %lu", name, &calls) == 2 && is_charge_function(name))
				printf("@calls %s %d %s %lu\n", phase, cpu, name, calls);
	}
}

/* Counts the calls of charge-path functions by one process in a cgroup churn_depth levels below the root. */
static void measure_calls(void)
{
	long depth = parameter("churn_depth", 1), files = parameter("churn_files", 2000);
	long pipes = parameter("churn_pipes", 20000);
	char cgroup[PATH_BYTES] = CGROUP_ROOT, control[PATH_BYTES + 32], phase[32];
	pid_t child;

	if (mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL))
		fail("debugfs");
	for (long level = 1; level <= depth; level++) {
		snprintf(control, sizeof(control), "%s/cgroup.subtree_control", cgroup);
		write_text(control, "+memory");
		strcat(cgroup, "/d");
		if (mkdir(cgroup, 0755))
			fail(cgroup);
	}
	child = forked();
	if (!child)
		counted_process(cgroup, files, pipes);
	for (int number = 0; number < 3; number++) {
		snprintf(phase, sizeof(phase), number == 0 ? "create" : number == 1 ? "unlink" : "pipe%ld", pipes);
		waitpid(child, NULL, WUNTRACED);
		report_calls(phase);
		kill(child, SIGCONT);
	}
	waitpid(child, NULL, 0);
}

int main(void)
{
	const char *mode = getenv("churn_mode");

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/tmp", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL))
		fail("proc");
	if (mount("sysfs", "/sys", "sysfs", 0, NULL))
		fail("sysfs");
	if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL))
		fail("tmpfs");
	if (mount("cgroup2", CGROUP_ROOT, "cgroup2", 0, NULL))
		fail("cgroup2");
	write_text(CGROUP_ROOT "/cgroup.subtree_control", "+memory");
	if (mode && !strcmp(mode, "calls"))
		measure_calls();
	else
		measure_memory();
	printf("@done\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
