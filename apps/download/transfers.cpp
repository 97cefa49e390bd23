#include "apps/download/transfers.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <list>
#include <memory>
#include <random>

#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/random.h"

namespace boxcam {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double longest_back_off = 60, longest_wait = 600;  // seconds
constexpr uint64_t getting_on = 64 << 10;  // bytes that make an attempt worth forgetting the failed ones before it

Clock::duration seconds(double count) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

// ---- libcurl ----

struct CurlLibrary {
  CurlLibrary() { check(curl_global_init(CURL_GLOBAL_DEFAULT) == 0, "libcurl could not start"); }
  ~CurlLibrary() { curl_global_cleanup(); }
};

using Handle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

Handle new_handle(const std::string& url, const TransferOptions& options, char* reason) {
  static const CurlLibrary library;
  Handle handle(curl_easy_init(), curl_easy_cleanup);
  check(handle != nullptr, "libcurl could not start");
  const std::string agent =
      str("boxcam/", version(), " (download) libcurl/", curl_version_info(CURLVERSION_NOW)->version);
  CURL* h = handle.get();
  curl_easy_setopt(h, CURLOPT_URL, url.c_str());
  curl_easy_setopt(h, CURLOPT_USERAGENT, agent.c_str());
  curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(h, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, url.starts_with("https:") ? "https" : "http,https");
  curl_easy_setopt(h, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(1000 * options.stall));
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 256L);  // bytes per second
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, std::max(1L, std::lround(options.stall)));
  curl_easy_setopt(h, CURLOPT_ERRORBUFFER, reason);
  return handle;
}

long status_of(CURL* handle) {
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

/// All values of a header of the last response, one after another; empty where it has none.
std::string header(CURL* handle, const char* name) {
  std::string text;
  curl_header* found = nullptr;
  for (size_t i = 0; curl_easy_header(handle, name, i, CURLH_HEADER, -1, &found) == CURLHE_OK; ++i)
    text += str(text.empty() ? "" : ",", found->value);
  return text;
}

std::optional<uint64_t> content_length(CURL* handle) {
  curl_off_t length = -1;
  curl_easy_getinfo(handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (length < 0) return std::nullopt;
  return static_cast<uint64_t>(length);
}

/// "bytes 10-19/20" of a piece of a file.
struct ContentRange {
  uint64_t begin = 0;
  std::optional<uint64_t> total;
};
std::optional<ContentRange> content_range(CURL* handle) {
  unsigned long long begin = 0, end = 0, total = 0;
  const int found = std::sscanf(header(handle, "Content-Range").c_str(), "bytes %llu-%llu/%llu", &begin, &end, &total);
  if (found < 2) return std::nullopt;
  return ContentRange{begin, found == 3 ? std::optional<uint64_t>(total) : std::nullopt};
}

/// What a later request can ask by whether a file is still the same; empty where the server says nothing fit for that.
std::string validator_in(CURL* handle) {
  const std::string tag = header(handle, "ETag");
  return tag.starts_with('"') ? tag : header(handle, "Last-Modified");
}

/// The file's MD5, in base64, where the server says it: Google's storage does.
std::string told_md5(CURL* handle) {
  const std::string hashes = header(handle, "x-goog-hash");
  const size_t at = hashes.find("md5=");
  return at == std::string::npos ? "" : hashes.substr(at + 4, 24);
}

std::string md5_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool good = file.good() && EVP_DigestInit_ex(context.get(), EVP_md5(), nullptr) == 1;
  std::vector<char> block(1 << 20);
  while (good && file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    good = EVP_DigestUpdate(context.get(), block.data(), static_cast<size_t>(file.gcount())) == 1;
  }
  unsigned char digest[EVP_MAX_MD_SIZE], text[2 * EVP_MAX_MD_SIZE];
  check(good && EVP_DigestFinal_ex(context.get(), digest, nullptr) == 1, "cannot compute the MD5 of ", path);
  return {reinterpret_cast<char*>(text), static_cast<size_t>(EVP_EncodeBlock(text, digest, 16))};
}

// ---- One file ----

/// A file on its way, over all its attempts.
class Download {
 public:
  Download(const Transfer& transfer, const TransferOptions& options)
      : transfer_(transfer),
        options_(options),
        file_(transfer.path, transfer.kept ? AtomicFile::Unfinished::stays : AtomicFile::Unfinished::vanishes) {
    if (transfer.kept && fs::exists(origin())) validator_ = read_file(origin());
    if (validator_.empty()) file_.clear();
    best_ = file_.size();
  }
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;

  /// Begins an attempt; it goes on where the last one stopped.
  CURL* begin() {
    trouble_.clear();
    reason_[0] = '\0';
    begun_ = false;
    total_.reset();
    handle_ = new_handle(transfer_.url, options_, reason_);
    CURL* h = handle_.get();
    curl_easy_setopt(h, CURLOPT_PRIVATE, this);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, &Download::write);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, this);
    if (validator_.empty()) file_.clear();
    if (file_.size() > 0) {
      headers_.reset(curl_slist_append(nullptr, str("If-Range: ", validator_).c_str()));
      curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers_.get());
      curl_easy_setopt(h, CURLOPT_RANGE, str(file_.size(), "-").c_str());
    }
    return h;
  }

  enum class State { whole, again, never };
  /// Ends an attempt with what libcurl says of it. Where the state is `again`, `delay` says in how many seconds.
  State end(CURLcode code, Random& random) {
    if (fatal_) std::rethrow_exception(fatal_);
    const long status = status_of(handle_.get());
    curl_off_t asked = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RETRY_AFTER, &asked);
    crowded_ = code == CURLE_HTTP_RETURNED_ERROR && (status == 429 || status == 503);
    if (code == CURLE_OK && settle()) return State::whole;
    if (trouble_.empty()) trouble_ = told(code, status);
    handle_.reset();
    if (status == 416) file_.clear();
    if (file_.size() > best_ + getting_on) best_ = file_.size(), failures_ = 0;
    ++failures_;
    const bool final = code == CURLE_HTTP_RETURNED_ERROR && status < 500 && status != 408 && status != 416 &&
                       status != 425 && status != 429;
    if (final || failures_ >= options_.attempts) return State::never;
    if (static_cast<double>(asked) > longest_wait) {
      trouble_ += str(", and the server asks to come back in ", asked, " s");
      return State::never;
    }
    const double pause = std::min(options_.back_off * std::exp2(static_cast<double>(failures_ - 1)), longest_back_off);
    delay_ = std::max(pause * random.uniform(0.5, 1), static_cast<double>(asked));
    return State::again;
  }

  const Transfer& transfer() const { return transfer_; }
  CURL* handle() const { return handle_.get(); }
  double delay() const { return delay_; }
  bool crowded() const { return crowded_; }  ///< whether the server asked to be left alone
  const std::string& trouble() const { return trouble_; }
  uint64_t size() const { return file_.size(); }
  Clock::time_point due{};

 private:
  /// Where what `validator_` was is kept for the next process.
  std::string origin() const { return file_.partial() + ".from"; }

  static size_t write(char* bytes, size_t, size_t count, void* self) {
    auto& download = *static_cast<Download*>(self);
    try {
      if (!download.begin_body()) return 0;
      download.file_.write(bytes, count);
      download.check_size(download.file_.size());
      return download.trouble_.empty() ? count : 0;
    } catch (...) {  // not through libcurl
      download.fatal_ = std::current_exception();
      return 0;
    }
  }

  void check_size(uint64_t size) {
    if (size > transfer_.most_bytes)
      trouble_ = str("the server sends more than ", transfer_.most_bytes, " bytes, which it cannot have");
  }

  /// Once the headers are there: whether what follows is the file's beginning, or goes on where we are.
  bool begin_body() {
    if (begun_) return trouble_.empty();
    begun_ = true;
    CURL* h = handle_.get();
    const std::optional<ContentRange> range = content_range(h);
    if (status_of(h) == 206 && range && range->begin == file_.size()) {
      total_ = range->total;
    } else {
      if (status_of(h) == 206) trouble_ = "the server sent another piece of the file than it was asked for";
      file_.clear();
      total_ = content_length(h);
      remember(validator_in(h));
    }
    md5_ = told_md5(h);
    check_size(total_.value_or(0));
    return trouble_.empty();
  }

  void remember(const std::string& validator) {
    if (validator == validator_) return;
    validator_ = validator;
    if (transfer_.kept) write_file(origin(), {validator_});
  }

  /// All has come: whether it is the file. If it is, it takes its place.
  bool settle() {
    if (!begin_body()) return false;  // an empty file has no body
    if (total_ && file_.size() != *total_) {
      trouble_ = str("got ", file_.size(), " of ", *total_, " bytes");
      if (file_.size() > *total_) file_.clear();
      return false;
    }
    try {
      if (!md5_.empty()) {
        const std::string found = md5_of_file(file_.partial());
        check(found == md5_, "its MD5 is ", found, ", the server says ", md5_);
      }
      if (transfer_.check) transfer_.check(file_.partial());
    } catch (const Error& e) {
      trouble_ = e.what();
      file_.clear();
      best_ = 0;
      return false;
    }
    file_.commit();
    if (transfer_.kept) fs::remove(origin());
    return true;
  }

  std::string told(CURLcode code, long status) const {
    if (code == CURLE_HTTP_RETURNED_ERROR) return str("the server answers ", status);
    return reason_[0] ? std::string(reason_) : std::string(curl_easy_strerror(code));
  }

  const Transfer& transfer_;
  const TransferOptions& options_;
  AtomicFile file_;
  std::string validator_, md5_, trouble_;
  std::optional<uint64_t> total_;  ///< bytes of the whole file, as the server says
  bool begun_ = false, crowded_ = false;
  int64_t failures_ = 0;  ///< since it last got on
  uint64_t best_ = 0;     ///< bytes that an attempt had
  double delay_ = 0;
  char reason_[CURL_ERROR_SIZE] = {};
  std::exception_ptr fatal_;
  Headers headers_{nullptr, curl_slist_free_all};
  Handle handle_{nullptr, curl_easy_cleanup};  // last: it uses what stands above
};

// ---- All files ----

/// How far it is: a line that changes on a terminal; elsewhere one every ten seconds.
class Meter {
 public:
  Meter(std::string what, size_t files) : what_(std::move(what)), files_(files) {}
  void show(size_t done, double bytes) {
    const auto now = Clock::now();
    if (now - shown_ < (terminal_ ? seconds(0.2) : seconds(10))) return;
    shown_ = now;
    const double passed = std::chrono::duration<double>(now - start_).count();
    std::fprintf(stderr, "%s%s %zu of %zu, %.1f MB, %.1f MB/s%s%s", terminal_ ? "\r\033[K" : "", what_.c_str(), done,
                 files_, bytes / 1e6, bytes / 1e6 / passed, left(done, passed).c_str(), terminal_ ? "" : "\n");
    std::fflush(stderr);
  }
  ~Meter() {
    if (terminal_) std::fprintf(stderr, "\r\033[K");
  }

 private:
  std::string left(size_t done, double passed) const {
    if (done == 0) return "";
    return ", " + duration(passed / static_cast<double>(done) * static_cast<double>(files_ - done)) + " left";
  }

  std::string what_;
  size_t files_;
  bool terminal_ = isatty(STDERR_FILENO);
  Clock::time_point start_ = Clock::now(), shown_ = start_;
};

class Fetcher {
 public:
  Fetcher(const std::vector<Transfer>& transfers, const TransferOptions& options, const std::string& what)
      : transfers_(transfers), options_(options), meter_(what, transfers.size()) {
    check(multi_ != nullptr, "libcurl could not start");
    curl_multi_setopt(multi_.get(), CURLMOPT_MAX_TOTAL_CONNECTIONS, static_cast<long>(options.jobs));
  }
  ~Fetcher() {
    for (const Download& one : active_) curl_multi_remove_handle(multi_.get(), one.handle());
  }
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  std::vector<Missing> run() {
    start();
    while (!interrupted() && !(active_.empty() && waiting_.empty() && next_ == transfers_.size())) {
      int running = 0;
      curl_multi_perform(multi_.get(), &running);
      int queued = 0;
      while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &queued))
        if (message->msg == CURLMSG_DONE) finish(message->easy_handle, message->data.result);
      start();
      show();
      curl_multi_poll(multi_.get(), nullptr, 0, milliseconds_to_wait(), nullptr);
    }
    return std::move(missing_);
  }

 private:
  using Downloads = std::list<Download>;

  bool may_start() const { return active_.size() < static_cast<size_t>(options_.jobs) && Clock::now() >= quiet_until_; }

  void begin(Downloads::iterator one, Downloads& from) {
    active_.splice(active_.end(), from, one);
    curl_multi_add_handle(multi_.get(), one->begin());
  }

  /// Those whose time has come, then new ones. Each that waits holds a file open, so there are never many.
  void start() {
    for (auto one = waiting_.begin(); one != waiting_.end() && may_start();) {
      const auto candidate = one++;
      if (candidate->due <= Clock::now()) begin(candidate, waiting_);
    }
    const size_t most_waiting = 4 * static_cast<size_t>(options_.jobs);
    while (next_ < transfers_.size() && may_start() && waiting_.size() < most_waiting) {
      Downloads fresh;
      fresh.emplace_back(transfers_[next_++], options_);
      begin(fresh.begin(), fresh);
    }
  }

  void finish(CURL* handle, CURLcode code) {
    void* found = nullptr;
    curl_easy_getinfo(handle, CURLINFO_PRIVATE, &found);
    const auto one = std::find_if(active_.begin(), active_.end(), [&](const Download& d) { return &d == found; });
    curl_off_t bytes = 0;
    curl_easy_getinfo(handle, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
    bytes_ += static_cast<double>(bytes);
    curl_multi_remove_handle(multi_.get(), handle);
    const Download::State state = one->end(code, random_);
    if (state == Download::State::again) {
      one->due = Clock::now() + seconds(one->delay());
      if (one->crowded()) quiet_until_ = std::max(quiet_until_, one->due);
      waiting_.splice(waiting_.end(), active_, one);
      return;
    }
    if (state == Download::State::never)
      missing_.push_back({one->transfer().path, one->transfer().url, one->trouble()});
    active_.erase(one);
  }

  void show() {
    double bytes = bytes_;
    for (const Download& one : active_) {
      curl_off_t now = 0;
      curl_easy_getinfo(one.handle(), CURLINFO_SIZE_DOWNLOAD_T, &now);
      bytes += static_cast<double>(now);
    }
    meter_.show(next_ - active_.size() - waiting_.size(), bytes);
  }

  /// Short enough to notice Ctrl-C, and the next that is due.
  int milliseconds_to_wait() const {
    auto until = Clock::now() + seconds(0.2);
    if (active_.size() < static_cast<size_t>(options_.jobs))
      for (const Download& one : waiting_) until = std::min(until, std::max(one.due, quiet_until_));
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    return static_cast<int>(std::max<int64_t>(left + 1, 0));
  }

  const std::vector<Transfer>& transfers_;
  const TransferOptions& options_;
  size_t next_ = 0;
  double bytes_ = 0;
  Clock::time_point quiet_until_{};
  Random random_{std::random_device{}()};  // only for how long to wait
  Meter meter_;
  std::vector<Missing> missing_;
  std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi_{curl_multi_init(), curl_multi_cleanup};
  Downloads active_, waiting_;
};

}  // namespace

std::vector<Missing> fetch(const std::vector<Transfer>& transfers, const TransferOptions& options,
                           const std::string& what) {
  return Fetcher(transfers, options, what).run();
}

Probe probe(const std::string& url, const TransferOptions& options) {
  constexpr uint64_t piece = 1 << 20;
  char reason[CURL_ERROR_SIZE] = {};
  const Handle handle = new_handle(url, options, reason);
  uint64_t got = 0;
  const auto count = +[](char*, size_t, size_t bytes, void* sum) {
    *static_cast<uint64_t*>(sum) += bytes;
    return *static_cast<uint64_t*>(sum) > piece ? size_t{0} : bytes;  // the server may send all of it
  };
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, count);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &got);
  curl_easy_setopt(handle.get(), CURLOPT_RANGE, str("0-", piece - 1).c_str());
  const CURLcode code = curl_easy_perform(handle.get());
  Probe result;
  if (code != CURLE_OK && got <= piece) {
    result.trouble = reason[0] ? reason : curl_easy_strerror(code);
    return result;
  }
  const std::optional<ContentRange> range = content_range(handle.get());
  result.bytes = range ? range->total : content_length(handle.get());
  curl_off_t speed = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_SPEED_DOWNLOAD_T, &speed);
  result.bytes_per_second = static_cast<double>(speed);
  return result;
}

}  // namespace boxcam
