/*
 * PID 1 of the measured virtual machine: runs one workload and prints what the kernel says about it.
 *
 * Parameters come from the kernel command line; the kernel hands those that it does not know to init as environment
 * variables, so `churn_cgroups=200` on the command line is getenv("churn_cgroups") here. sweep/real/guest.py gives all
 * of them, so there are no defaults here.
 *
 * Output, one record per line, fields separated by blanks; all other lines are the kernel's:
 *   @memory PHASE DYING CACHES SLAB SUNRECLAIM SRECLAIMABLE PERCPU     CACHES: per-memcg kmem_caches; the rest in KiB
 *   @slab PHASE NAME ACTIVE_OBJECTS TOTAL_OBJECTS OBJECT_BYTES OBJECTS_PER_SLAB PAGES_PER_SLAB
 *   @flight SAMPLES SUM_OF_DYING                                       while the cgroups come and go
 *   @calls PHASE before|after FUNCTION HITS MISSES
 *   @time PHASE NANOSECONDS OPERATIONS
 *   @missing WHAT ERRNO                                                what this kernel cannot count
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define TRACING "/sys/kernel/tracing"
#define PATH_BYTES 512
#define SAMPLE_EVERY 10 /* cgroups between looks at how many removed ones are in flight */

static char file_text[512 * 1024];
static char data[64 * 1024];
static char cgroup_parent[PATH_BYTES] = CGROUP_ROOT;
static long cgroup_version, live_directories;

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

/* A parameter of the workload. */
static const char *text_parameter(const char *name)
{
	const char *text = getenv(name);

	if (!text) {
		errno = EINVAL;
		fail(name);
	}
	return text;
}

static long parameter(const char *name)
{
	return strtol(text_parameter(name), NULL, 10);
}

static void sleep_ms(long ms)
{
	struct timespec rest = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&rest, &rest) && errno == EINTR)
		;
}

static long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

static int try_write(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | flags), wrote;

	if (fd < 0)
		return -1;
	wrote = write(fd, text, strlen(text)) < 0 ? -1 : 0;
	close(fd);
	return wrote;
}

static void write_text(const char *path, const char *text)
{
	if (try_write(path, text, 0))
		fail(path);
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

static void make_file(const char *path, long bytes)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	if (fd < 0)
		fail(path);
	for (long rest = bytes; rest > 0; rest -= sizeof(data))
		if (write(fd, data, rest < (long)sizeof(data) ? rest : (long)sizeof(data)) < 0)
			fail(path);
	close(fd);
}

static void make_directory(const char *path)
{
	if (mkdir(path, 0755))
		fail(path);
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

/* Removed cgroups that are still there. cgroup v1 only says how many there are in all. */
static long count_dying(void)
{
	if (cgroup_version == 2)
		return number_after(read_text(CGROUP_ROOT "/cgroup.stat"), "nr_dying_descendants ");
	for (char *line = strtok(read_text("/proc/cgroups"), "\n"); line; line = strtok(NULL, "\n")) {
		long hierarchy, cgroups;

		if (sscanf(line, "memory %ld %ld", &hierarchy, &cgroups) == 2)
			return cgroups - 1 - live_directories;
	}
	errno = ENOENT;
	fail("memory in /proc/cgroups");
	return 0;
}

static void report_memory(const char *phase)
{
	long slab, sunreclaim, sreclaimable, percpu, dying, caches;
	char *line, name[64];
	unsigned long active, total, bytes, per_slab, pages;

	/* First: walking sysfs makes dentries and inodes, which belong to the figures of both phases or of none. */
	caches = count_memcg_caches();
	dying = count_dying();
	read_text("/proc/meminfo");
	slab = number_after(file_text, "Slab:");
	sreclaimable = number_after(file_text, "SReclaimable:");
	sunreclaim = number_after(file_text, "SUnreclaim:");
	percpu = number_after(file_text, "Percpu:");
	read_text("/proc/slabinfo");
	printf("@memory %s %ld %ld %ld %ld %ld %ld\n", phase, dying, caches, slab, sunreclaim, sreclaimable, percpu);
	for (line = strtok(file_text, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%63s %lu %lu %lu %lu %lu", name, &active, &total, &bytes, &per_slab, &pages) == 6)
			printf("@slab %s %s %lu %lu %lu %lu %lu\n", phase, name, active, total, bytes, per_slab, pages);
}

/* Makes the cgroup below which all others are: `depth` - 1 levels below the root. */
static void make_parents(long depth)
{
	char control[PATH_BYTES + 32];

	for (long level = 0;; level++) {
		snprintf(control, sizeof(control), "%s/cgroup.subtree_control", cgroup_parent);
		if (cgroup_version == 2)
			write_text(control, "+memory");
		if (level == depth - 1)
			return;
		strcat(cgroup_parent, "/d");
		make_directory(cgroup_parent);
		live_directories++;
	}
}

static void enter(const char *cgroup)
{
	char path[PATH_BYTES + 32];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	write_text(path, "0");
}

static void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

/* An object of the kind that the workload leaves behind. What has no name stays open in the table of open files. */
static void make_object(const char *hold, const char *path, long bytes, int ends[2])
{
	if (!strcmp(hold, "files"))
		make_file(path, bytes);
	else if (!strcmp(hold, "directories"))
		make_directory(path);
	else if (!strcmp(hold, "pipes") ? pipe(ends) : (ends[0] = socket(AF_UNIX, SOCK_STREAM, 0)) < 0)
		fail(hold);
}

static void remove_object(const char *hold, const char *path, const int ends[2])
{
	if (!strcmp(hold, "files"))
		unlink(path);
	else if (!strcmp(hold, "directories"))
		rmdir(path);
	else {
		close(ends[0]);
		if (!strcmp(hold, "pipes"))
			close(ends[1]);
	}
}

/* What the process in the short-lived cgroup does. It tells init how long making its objects took. */
static void churn_process(const char *cgroup, long number, long *took_ns)
{
	long files = parameter("churn_files"), keep = parameter("churn_keep"), warm_ms = parameter("churn_warm_ms");
	long bytes = parameter("churn_data_kib") * 1024, began;
	const char *hold = text_parameter("churn_hold");
	char path[PATH_BYTES];
	int (*ends)[2] = calloc(files + 1, sizeof(*ends));

	enter(cgroup);
	/* The first allocation from a cache in a cgroup only asks for the cgroup's own cache, which a worker makes. */
	make_file("/tmp/warm", 0);
	unlink("/tmp/warm");
	mkdir("/tmp/warm.d", 0700);
	rmdir("/tmp/warm.d");
	if (warm_ms)
		sleep_ms(warm_ms);
	began = now_ns();
	for (long file = 0; file < files; file++) {
		snprintf(path, sizeof(path), "/tmp/f%ld.%ld", number, file);
		make_object(hold, path, bytes, ends[file]);
	}
	for (long file = keep; file < files; file++) {
		snprintf(path, sizeof(path), "/tmp/f%ld.%ld", number, file);
		remove_object(hold, path, ends[file]);
	}
	if (write(took_ns[1], (began = now_ns() - began, &began), sizeof(began)) != sizeof(began))
		fail("pipe to init");
	_exit(0);
}

/* A child; one that shares the table of open files leaves what it opened to init. */
static pid_t forked(int shares_files)
{
	pid_t child = syscall(SYS_clone, (shares_files ? CLONE_FILES : 0) | SIGCHLD, 0, 0, 0, 0);

	if (child < 0)
		fail("fork");
	return child;
}

/* The table of open files grows before anything is measured. */
static void reserve_open_files(long number)
{
	struct rlimit limit = { number + 64, number + 64 };

	if (setrlimit(RLIMIT_NOFILE, &limit) || dup2(0, number + 32) < 0 || close(number + 32))
		fail("RLIMIT_NOFILE");
}

/* Short-lived cgroups one after the other, some objects of each outliving it. */
static void measure_churn(void)
{
	long cgroups = parameter("churn_cgroups"), files = parameter("churn_files");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), samples = 0, flying = 0, making_ns = 0, took_ns, to_init[2], began;
	const char *hold = text_parameter("churn_hold"), *pin = text_parameter("churn_pin");
	int shares_files = !strcmp(hold, "pipes") || !strcmp(hold, "sockets"), ends[2];
	char cgroup[PATH_BYTES + 32];

	if (pipe(ends))
		fail("pipe to init");
	to_init[0] = ends[0], to_init[1] = ends[1];
	if (shares_files)
		reserve_open_files(2 * cgroups * files);
	if (strcmp(pin, "none"))
		pin_to_cpu(0);
	report_memory("before");
	began = now_ns();
	for (long number = 0; number < cgroups; number++) {
		pid_t child;

		/* A name of its own each: a removed directory leaves a negative dentry, in the control run as well. */
		snprintf(cgroup, sizeof(cgroup), "%s/c%ld", cgroup_parent, number);
		make_directory(cgroup);
		child = forked(shares_files);
		if (!child) {
			if (!strcmp(pin, "in_turn"))
				pin_to_cpu(number % cpus);
			churn_process(cgroup, number, to_init);
		}
		waitpid(child, NULL, 0);
		if (read(to_init[0], &took_ns, sizeof(took_ns)) != sizeof(took_ns))
			fail("pipe from the process");
		making_ns += took_ns;
		while (rmdir(cgroup)) {
			if (errno != EBUSY)
				fail(cgroup);
			sleep_ms(1);
		}
		if (number % SAMPLE_EVERY == SAMPLE_EVERY - 1) {
			samples++;
			flying += count_dying();
		}
	}
	began = now_ns() - began;
	sleep_ms(1000);
	report_memory("after");
	printf("@flight %ld %ld\n", samples, flying);
	printf("@time churn %ld %ld\n", began, cgroups);
	printf("@time object %ld %ld\n", making_ns, cgroups * files);
}

/* ---- calls of functions ---- */

static const char *const FUNCTIONS[] = {
	"try_charge", "try_charge_memcg", "page_counter_try_charge", "page_counter_uncharge", "page_counter_cancel",
	"__memcg_kmem_charge", "__memcg_kmem_uncharge", "__memcg_kmem_charge_memcg", "__memcg_kmem_uncharge_memcg",
	"obj_cgroup_charge", "obj_cgroup_uncharge", "obj_cgroup_charge_pages", "obj_cgroup_uncharge_pages",
	"obj_cgroup_charge_account", "refill_obj_stock", "drain_obj_stock", "refill_stock", "drain_stock",
	"memcg_uncharge", "memcg_kmem_get_cache", "__memcg_slab_post_alloc_hook", "__memcg_slab_free_hook",
	"allocate_slab", "__free_slab", "discard_slab", "free_slab", "kmem_cache_alloc", "kmem_cache_free",
};
#define NUMBER(array) (sizeof(array) / sizeof(array[0]))

static int by_kprobes; /* else by the function profiler */

/* Puts a probe on each function that this kernel has; what it has no probes for is inlined, or has another name. */
static void start_counting(void)
{
	char probe[128];
	int probes = 0;

	if (mount("tracefs", TRACING, "tracefs", 0, NULL))
		fail("tracefs");
	for (size_t i = 0; i < NUMBER(FUNCTIONS); i++) {
		snprintf(probe, sizeof(probe), "p:%s %s\n", FUNCTIONS[i], FUNCTIONS[i]);
		if (!try_write(TRACING "/kprobe_events", probe, O_APPEND))
			probes++;
		else
			printf("@missing %s %d\n", FUNCTIONS[i], errno);
	}
	by_kprobes = probes > 0;
	if (by_kprobes)
		write_text(TRACING "/events/kprobes/enable", "1");
	else if (access(TRACING "/function_profile_enabled", W_OK))
		fail("kprobe_events and function_profile_enabled");
}

static void print_calls(const char *phase, const char *when, const char *name, unsigned long hits, unsigned long misses)
{
	for (size_t i = 0; i < NUMBER(FUNCTIONS); i++)
		if (!strcmp(name, FUNCTIONS[i]))
			printf("@calls %s %s %s %lu %lu\n", phase, when, name, hits, misses);
}

static void report_calls(const char *phase, const char *when)
{
	char path[PATH_BYTES], name[128], *line;
	unsigned long hits, misses;

	if (by_kprobes) {
		for (line = strtok(read_text(TRACING "/kprobe_profile"), "\n"); line; line = strtok(NULL, "\n"))
			if (sscanf(line, "%127s %lu %lu", name, &hits, &misses) == 3)
				print_calls(phase, when, name, hits, misses);
		return;
	}
	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
		snprintf(path, sizeof(path), TRACING "/trace_stat/function%d", cpu);
		for (line = strtok(read_text(path), "\n"); line; line = strtok(NULL, "\n"))
			if (sscanf(line, "%127s %lu", name, &hits) == 2)
				print_calls(phase, when, name, hits, 0);
	}
}

/* The profiler starts at 0 each time it is switched on; probes count on. */
static void profile(int on)
{
	if (!by_kprobes)
		write_text(TRACING "/function_profile_enabled", on ? "1" : "0");
}

static const char *const PHASES[] = { "idle", "create", "unlink", "pipe" };

static void run_phase(int phase, long files, long pipes)
{
	char path[PATH_BYTES];
	int ends[2];

	if (phase == 1 || phase == 2)
		for (long file = 0; file < files; file++) {
			snprintf(path, sizeof(path), "/tmp/f%ld", file);
			if (phase == 1)
				make_file(path, 0);
			else
				unlink(path);
		}
	else if (phase == 3)
		for (long count = 0; count < pipes; count++) {
			if (pipe(ends))
				fail("pipe");
			close(ends[0]);
			close(ends[1]);
		}
}

/*
 * The counted process. It stops around each phase, so that init, outside the cgroup, reads the counts: reading them from
 * here would allocate in the cgroup.
 */
static void counted_process(const char *cgroup, long files, long pipes)
{
	pin_to_cpu(0);
	enter(cgroup);
	make_file("/tmp/warm", 0);
	unlink("/tmp/warm");
	run_phase(3, 0, 1);
	sleep_ms(500);
	for (size_t phase = 0; phase < NUMBER(PHASES); phase++) {
		long began, ended;

		raise(SIGSTOP);
		profile(1);
		began = now_ns();
		run_phase(phase, files, pipes);
		ended = now_ns();
		if (phase == 0 || phase == 2)
			sleep_ms(500); /* inodes are freed by RCU; idle: what the machine does by itself meanwhile */
		profile(0);
		raise(SIGSTOP);
		printf("@time %s %ld %ld\n", PHASES[phase], ended - began, phase == 0 ? 0 : phase == 3 ? pipes : files);
		fflush(stdout);
	}
	_exit(0);
}

/* Counts the calls of charge-path functions by one process in a cgroup; `idle` is the control. */
static void measure_counts(void)
{
	long files = parameter("churn_counted_files"), pipes = parameter("churn_counted_pipes");
	char cgroup[PATH_BYTES + 32];
	pid_t child;

	snprintf(cgroup, sizeof(cgroup), "%s/counted", cgroup_parent);
	make_directory(cgroup);
	start_counting();
	fflush(stdout);
	child = forked(0);
	if (!child)
		counted_process(cgroup, files, pipes);
	for (size_t phase = 0; phase < NUMBER(PHASES); phase++) {
		waitpid(child, NULL, WUNTRACED);
		if (by_kprobes)
			report_calls(PHASES[phase], "before");
		kill(child, SIGCONT);
		waitpid(child, NULL, WUNTRACED);
		report_calls(PHASES[phase], "after");
		fflush(stdout);
		kill(child, SIGCONT);
	}
	waitpid(child, NULL, 0);
}

static void mount_at(const char *type, const char *where, const char *options)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, options))
		fail(where);
}

int main(void)
{
	const char *measure = text_parameter("churn_measure");

	mount_at("proc", "/proc", NULL);
	mount_at("sysfs", "/sys", NULL);
	mount_at("tmpfs", "/tmp", NULL);
	if (strcmp(measure, "boot")) {
		cgroup_version = parameter("churn_cgroup_version");
		if (cgroup_version == 2)
			mount_at("cgroup2", CGROUP_ROOT, NULL);
		else
			mount_at("cgroup", CGROUP_ROOT, "memory");
		make_parents(parameter("churn_depth"));
		if (strcmp(measure, "counts"))
			measure_churn();
		else
			measure_counts();
	}
	printf("@done\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
