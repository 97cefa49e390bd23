// `download open-images`: tables, the pictures that a request takes, and their place in the layout that --data
// open-images:DIR reads.
#pragma once

#include <string>
#include <vector>

#include "apps/common/folder_lock.h"
#include "apps/common/options/table.h"
#include "apps/download/choice.h"
#include "apps/download/transfers.h"

namespace boxcam {

struct FetchOptions {
  std::string base_url;
  bool dry_run = false;
  TransferOptions transfers;
};

struct OpenImagesOptions {
  std::string output, tables;
  std::vector<std::string> splits = {"train", "validation", "test"};
  int64_t train_images = 10000, val_images = 2500, test_images = 1000;  // the thesis'
  PictureRequest request;
  FetchOptions fetch;
};

/// Returns the exit status. `table` holds the options that the folder is of, which it keeps and compares.
int download_open_images(const OpenImagesOptions& options, const OptionTable& table);

/// Throws Error where another process holds the lock of `folder`.
void check_alone(const FolderLock& lock, const std::string& folder);

/// "  NAME: REASON (ADDRESS)" for the first of what could not be had, on standard error.
void tell_missing(const std::vector<Missing>& missing);

}  // namespace boxcam
