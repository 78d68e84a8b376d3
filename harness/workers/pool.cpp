#include "harness/workers/pool.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>

#include "harness/core/error.h"
#include "harness/workers/process.h"
#include "harness/workers/protocol.h"

namespace dsv4 {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTickMilliseconds = 100;
constexpr int kMostFailedStarts = 3;    // in succession; a single failure may be chance
constexpr double kClosingSeconds = 10;  // time limit for a worker to close its sets
constexpr double kDyingSeconds = 1;     // time limit between the end of the connection and the end of the process

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The search for the case that made a worker crash. First the case that ran at the crash is run alone, then the
/// earlier cases.
struct CrashSearch {
  std::optional<std::string> id;          ///< nullopt: the worker crashed after its last case, while it closed its sets
  std::string crash;                      ///< how the worker ended that ran all these cases
  std::vector<std::string> earlier = {};  ///< earlier cases of that worker, the latest first
  std::size_t next = 0;               ///< index in `earlier` of the case to run alone; used after `id` was run alone
  int process = 0;                    ///< number of the process that ran all these cases
  bool outside = false;               ///< the process was killed from outside, so no case is blamed
  bool killed = false;                ///< a process of this search was killed from outside
  std::optional<Outcome> alone = {};  ///< the outcome of `id` when it was run alone
  bool closed = false;

  [[nodiscard]] bool tries_earlier() const { return alone || !id; }
  [[nodiscard]] const std::string& current() const { return tries_earlier() ? earlier[next] : *id; }
};

struct Worker {
  enum class State {
    kStarting,  ///< has not sent "hello"
    kReady,
    kClosing,  ///< gets no more cases and closes its sets; it must then send "bye"
    kDone,     ///< nothing more is read from it
  };

  Worker(const std::vector<std::string>& command, int n) : process(command), number(n), since(Clock::now()) {}

  ChildProcess process;
  int number;  ///< processes are numbered from 1
  State state = State::kStarting;
  bool hung_up = false;  ///< the other end of its socket is closed
  LineBuffer lines;
  std::deque<std::string> sent;      ///< cases that were sent to the worker; the first one runs
  std::vector<std::string> history;  ///< the last cases that the worker answered
  Clock::time_point since;           ///< time when it or its current case was started, or it was told to close
  CrashSearch* search = nullptr;     ///< if set, the process runs one case of this search alone
  Outcome outcome;                   ///< outcome of that case, until the process has ended without a crash

  [[nodiscard]] bool live() const { return state != State::kDone; }
  [[nodiscard]] bool busy() const { return live() && (state != State::kClosing || search != nullptr); }
};

class Pool {
 public:
  Pool(const PoolOptions& options, const PoolEvents& events) : options_(options), events_(events) {}

  PoolEnd run() {
    while (end_.how == PoolEnd::How::kFinished) {
      if (events_.stop()) {
        end_.how = PoolEnd::How::kStopped;
        break;
      }
      assign_work();
      if (workers_.empty()) break;
      wait();
      events_.on_tick();
    }
    return end_;
  }

 private:
  // --- assigning cases -----------------------------------------------------------------------------------------------

  /// Fetches cases until `n` cases wait for a worker. Returns false if there are fewer cases.
  bool have(std::size_t n) {
    while (queue_.size() < n && !exhausted_) {
      if (auto id = events_.next()) {
        queue_.push_back(std::move(*id));
      } else {
        exhausted_ = true;
      }
    }
    return queue_.size() >= n;
  }

  std::size_t count(bool (*what)(const Worker&)) const {
    return static_cast<std::size_t>(std::ranges::count_if(workers_, [&](const auto& w) { return what(*w); }));
  }

  /// Starts workers while there is work for one more. Sends cases to workers that can take one.
  void assign_work() {
    std::erase_if(workers_, [](const auto& w) { return !w->live(); });
    std::erase_if(searches_, [](const auto& s) { return s->closed; });
    const auto jobs = static_cast<std::size_t>(options_.jobs);
    const auto free = [&] { return count([](const Worker& w) { return w.busy(); }) < jobs; };
    for (const auto& search : searches_) {
      const bool running = std::ranges::any_of(workers_, [&](const auto& w) { return w->search == search.get(); });
      if (!running && free()) start(search.get());
    }
    for (auto& w : workers_) feed(*w);
    const auto starting = [](const Worker& w) { return w.state == Worker::State::kStarting && w.search == nullptr; };
    while (free() && have(count(starting) + 1)) start(nullptr);
  }

  void start(CrashSearch* search) {
    workers_.push_back(std::make_unique<Worker>(options_.command, ++started_));
    workers_.back()->search = search;
  }

  void feed(Worker& w) {
    if (w.state != Worker::State::kReady) return;
    if (w.search) {
      if (w.sent.empty()) send(w, w.search->current());
      return;
    }
    const bool full = options_.alone && !w.history.empty();
    if (w.sent.empty() && !full && have(1)) send_next(w);
    // One case is sent ahead, so that the worker stays busy while its answer is read. Near the end, no case is sent
    // ahead, because another worker could run it earlier.
    if (w.sent.size() == 1 && !options_.alone && have(static_cast<std::size_t>(options_.jobs))) send_next(w);
    if (w.sent.empty()) close(w);
  }

  void send_next(Worker& w) {
    std::string id = std::move(queue_.front());
    queue_.pop_front();
    events_.on_start(id);
    send(w, std::move(id));
  }

  /// A failed write means that the worker has ended. The pool notices the end when it reads the socket of the worker.
  void send(Worker& w, std::string id) {
    if (w.sent.empty()) {
      w.since = Clock::now();
      w.process.drain_output();
      w.process.forget_output();
    }
    write_all(w.process.socket(), id + "\n");
    w.sent.push_back(std::move(id));
  }

  static void close(Worker& w) {
    w.process.close_sending();
    w.state = Worker::State::kClosing;
    w.since = Clock::now();
  }

  /// Puts back into the queue the cases that were sent ahead and did not run.
  void give_back(Worker& w) {
    while (!w.sent.empty()) {
      queue_.push_front(std::move(w.sent.back()));
      w.sent.pop_back();
    }
  }

  // --- messages of workers -------------------------------------------------------------------------------------------

  void wait() {
    std::vector<pollfd> fds;
    for (const auto& w : workers_) {
      // poll() reports a descriptor again and again after its other end was closed. poll() skips negative descriptors.
      fds.push_back({w->hung_up ? -1 : w->process.socket(), POLLIN, 0});
      fds.push_back({w->hung_up ? -1 : w->process.output(), POLLIN, 0});
    }
    ::poll(fds.data(), fds.size(), kTickMilliseconds);
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      Worker& w = *workers_[i];
      if (fds[2 * i + 1].revents != 0) w.process.drain_output();
      if (fds[2 * i].revents != 0) read_messages(w);
      if (w.live()) watch(w);
    }
  }

  /// Reads and handles the messages that the worker has sent. Returns false if the worker has sent nothing.
  bool read_messages(Worker& w) {
    std::string bytes;
    w.hung_up = read_available(w.process.socket(), bytes) == ReadState::kClosed;
    w.lines.append(bytes);
    while (w.live()) {
      const auto line = w.lines.next();
      if (!line) break;
      handle_message(w, *line);
    }
    if (w.live() && w.lines.overlong()) garbage(w, "a message without a line end");
    return !bytes.empty();
  }

  void handle_message(Worker& w, const std::string& line) {
    const auto message = nlohmann::json::parse(line, nullptr, false);
    if (!message.is_object()) return garbage(w, line);
    if (w.state == Worker::State::kStarting) {
      if (message.contains("hello")) {
        w.state = Worker::State::kReady;
        failed_starts_ = 0;
      } else if (message.contains("fatal") && message["fatal"].is_string()) {
        w.state = Worker::State::kDone;
        fail(message["fatal"].get<std::string>());
      } else {
        garbage(w, line);
      }
    } else if (w.state == Worker::State::kClosing && message.contains("bye")) {
      w.state = Worker::State::kDone;
      if (w.search) tried_alone(w, "");
    } else if (!w.sent.empty() && message.contains("result") && message.contains("case") &&
               message["case"] == w.sent.front()) {
      answer(w, message);
    } else {
      garbage(w, line);
    }
  }

  void answer(Worker& w, const nlohmann::json& message) {
    Outcome outcome{std::move(w.sent.front()), message["result"], "", seconds_since(w.since), w.number};
    w.sent.pop_front();
    const bool leaving = message.contains("leaving");
    if (w.search) {
      w.outcome = std::move(outcome);
      if (!leaving) return close(w);
      w.state = Worker::State::kDone;
      return tried_alone(w, "");
    }
    w.history.push_back(outcome.id);
    if (w.history.size() > std::max<std::size_t>(options_.earlier_tried, 1)) w.history.erase(w.history.begin());
    events_.on_outcome(outcome);
    if (leaving) {
      ++end_.replacements;
      give_back(w);
      if (options_.together) abandon_rest();
      w.state = Worker::State::kDone;
    } else {
      w.since = Clock::now();
      feed(w);
    }
  }

  /// Checks the time limit of the worker, and whether its process has ended.
  void watch(Worker& w) {
    if (w.hung_up || w.process.ended()) {
      // First handle the messages that the worker sent before it ended.
      while (!w.hung_up && w.live() && read_messages(w)) {
      }
      if (!w.live()) return;
      const auto status = w.process.wait_for(kDyingSeconds);
      w.process.drain_output();
      const bool outside = status && killed_from_outside(*status);
      const auto end = [&] { return describe_end(*status, w.process.output_tail()) + w.process.limit_reached(); };
      return crashed(w, status ? end() : "closed its connection", true, outside);
    }
    const double limit = w.state == Worker::State::kStarting  ? options_.start_seconds
                         : w.state == Worker::State::kClosing ? kClosingSeconds
                                                              : options_.timeout_seconds;
    const bool idle = w.state == Worker::State::kReady && w.sent.empty();
    if (idle || seconds_since(w.since) <= limit) return;
    w.process.drain_output();
    w.process.kill();
    crashed(w, fmt::format("gave no answer within {:g} s (time-out) and was killed", limit), false);
  }

  void garbage(Worker& w, const std::string& line) {
    w.process.kill();
    crashed(w, fmt::format("broke the protocol: '{}'", line.substr(0, 80)), true);
  }

  // --- workers that end too early ------------------------------------------------------------------------------------

  /// In a process that runs all cases together, no case can run after this one.
  void abandon_rest() {
    queue_.clear();
    exhausted_ = true;
  }

  /// `perhaps_another`: true if an earlier case may have caused the crash. `outside`: true if no case caused it.
  void crashed(Worker& w, std::string how, bool perhaps_another, bool outside = false) {
    const auto printed = w.process.output_tail();
    if (!printed.empty()) how += "; it printed: " + printed;
    const auto state = w.state;
    w.state = Worker::State::kDone;
    if (state == Worker::State::kStarting) return failed_start(how);
    if (w.search) return tried_alone(w, how, outside);
    // If it closed too slowly, or was killed from outside while it closed, its cases have their outcomes.
    if (state == Worker::State::kClosing && (!perhaps_another || outside)) return;
    ++end_.replacements;
    std::optional<std::string> id;
    if (!w.sent.empty()) {
      id = std::move(w.sent.front());
      w.sent.pop_front();
    }
    give_back(w);
    if (options_.together) {
      abandon_rest();
    } else if (outside && id) {
      search_for({.id = id, .crash = how, .process = w.number, .outside = true});
      return;
    } else if (perhaps_another && !w.history.empty() && options_.earlier_tried > 0 && !options_.alone) {
      search_for({.id = id, .crash = how, .earlier = {w.history.rbegin(), w.history.rend()}, .process = w.number});
      return;
    }
    if (id) {
      report_crash(w, *id, how, outside);
    } else if (!w.history.empty()) {
      report_crash(w, w.history.back(), how + " after its last case, while it closed its sets", false);
    }
  }

  void search_for(CrashSearch search) { searches_.push_back(std::make_unique<CrashSearch>(std::move(search))); }

  void report_crash(const Worker& w, const std::string& id, const std::string& how, bool outside) {
    events_.on_outcome({.id = id,
                        .answer = nullptr,
                        .error = "the worker process " + how,
                        .seconds = seconds_since(w.since),
                        .process = w.number,
                        .outside = outside});
  }

  /// Called when the case of a worker that was killed from outside has run again, alone. `how` is as in tried_alone.
  void tried_after_kill(Worker& w, const std::string& how, bool outside) {
    CrashSearch& search = *w.search;
    search.closed = true;
    if (!how.empty()) return report_crash(w, *search.id, outside ? how + ", twice" : how, outside);
    Outcome again = std::move(w.outcome);
    again.note =
        fmt::format("its worker process {}; this is the result of a second try, alone in a new process", search.crash);
    events_.on_outcome(again);
  }

  /// Called when a process that ran one case alone has ended. `how` is empty if the process did not crash.
  void tried_alone(Worker& w, const std::string& how, bool outside = false) {
    CrashSearch& search = *w.search;
    if (!how.empty()) ++end_.replacements;
    if (search.outside) return tried_after_kill(w, how, outside);
    if (outside && !search.killed) {
      search.killed = true;  // the kill says nothing about the case, so it runs once more
      return;
    }
    if (!search.tries_earlier()) {
      if (how.empty()) {
        search.alone = std::move(w.outcome);
      } else {
        report_crash(w, *search.id, how, outside);
        search.closed = true;
      }
    } else if (!how.empty()) {
      const auto after = search.id ? fmt::format("in a later case ('{}')", *search.id) : "at the end";
      report_crash(w, search.current(),
                   fmt::format("{}. When this case ran together with others, it damaged the process, which then "
                               "crashed {}",
                               how, after),
                   outside);
      if (search.alone) events_.on_outcome(*search.alone);
      search.closed = true;
    } else if (++search.next == search.earlier.size()) {
      // No case crashes alone, so the case in which the crash happened gets the error.
      events_.on_outcome({.id = search.id ? *search.id : search.earlier.front(),
                          .answer = nullptr,
                          .error = fmt::format("the worker process {}. This was the last of several cases in one "
                                               "process; none of them crashes alone",
                                               search.crash),
                          .seconds = search.alone ? search.alone->seconds : 0,
                          .process = search.process});
      search.closed = true;
    }
  }

  void failed_start(const std::string& how) {
    if (++failed_starts_ >= kMostFailedStarts) {
      fail(fmt::format("worker processes cannot be started: {} in a row failed, and the last one {}", failed_starts_,
                       how));
    }
  }

  void fail(const std::string& message) {
    end_.how = PoolEnd::How::kFailed;
    end_.message = message;
  }

  const PoolOptions& options_;
  const PoolEvents& events_;
  std::vector<std::unique_ptr<CrashSearch>> searches_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::deque<std::string> queue_;
  bool exhausted_ = false;
  int failed_starts_ = 0;
  int started_ = 0;
  PoolEnd end_;
};

}  // namespace

PoolEnd run_pool(const PoolOptions& options, const PoolEvents& events) { return Pool(options, events).run(); }

}  // namespace dsv4
